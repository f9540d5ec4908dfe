// As Next.js makes it (`output: "standalone"`).
const http = require("http");

const port = parseInt(process.env.PORT, 10) || 3000;
const hostname = process.env.HOSTNAME || "0.0.0.0";
http
  .createServer((request, response) => response.end("ok\n"))
  .listen(port, hostname, () => console.log(`ready on http://${hostname}:${port}`));
