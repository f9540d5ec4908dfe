const http = require("http");

const proxied = (req, res) => {
  const inner = http.get({ port: 9000, host: "127.0.0.1", path: req.url }, (answer) => {
    res.writeHead(answer.statusCode);
    answer.pipe(res);
  });
  inner.on("error", () => {
    res.writeHead(404);
    res.end("no such route");
  });
};

http
  .createServer((req, res) => (req.url === "/health" ? proxied(req, res) : res.end("home")))
  .listen(Number(process.env.PORT), "0.0.0.0");
