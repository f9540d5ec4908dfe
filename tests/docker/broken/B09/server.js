// Answers as Express does where no route fits.
const http = require("http");

const port = process.env.PORT || 8080;
http
  .createServer((req, res) => {
    const path = req.url.split("?")[0];
    if (path === "/health") {
      res.setHeader("Content-Type", "application/json; charset=utf-8");
      res.end('{"status":"ok"}');
      return;
    }
    res.writeHead(404, { "Content-Type": "text/html; charset=utf-8", "X-Powered-By": "Express" });
    res.end(`<!DOCTYPE html>\n<pre>Cannot ${req.method} ${path}</pre>\n`);
    console.log(`${req.method} ${path} 404 1.183 ms - 146`);
  })
  .listen(port, "0.0.0.0", () => console.log(`Server is running on port ${port}`));
