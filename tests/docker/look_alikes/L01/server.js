require('./routes/User');
