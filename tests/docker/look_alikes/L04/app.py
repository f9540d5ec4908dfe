open('/app/data.db', 'w')
