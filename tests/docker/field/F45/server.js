const http = require("http");
const https = require("https");

// Feature flags first, then the port.
const flags = () =>
  new Promise((resolve, reject) => {
    https.get("https://flags.example.com/v1/all", (res) => resolve(res.resume())).on("error", reject);
  });

flags().then(() => {
  http.createServer((_, res) => res.end("ok")).listen(Number(process.env.PORT), "0.0.0.0");
});
