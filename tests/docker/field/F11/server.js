const http = require("http");

http.createServer((_, res) => res.end("ok")).listen(Number(process.env.PORT), "0.0.0.0");
