require('./routes/admin');
