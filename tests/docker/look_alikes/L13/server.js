const level = process.env.LOG_LEVEL;
if (!['debug', 'info', 'error'].includes(level)) throw new Error('invalid LOG_LEVEL');
