// The health endpoint is a process of its own, behind the web server's proxy of /health.
const http = require("http");

http.createServer((_, res) => res.end("ok")).listen(9000, "127.0.0.1");
