const dns = require("dns").promises;
const http = require("http");

async function main() {
  const { address } = await dns.lookup("cache.internal.example.com");
  console.log(`cache is at ${address}`);
  http.createServer((_, res) => res.end(address)).listen(Number(process.env.PORT), "0.0.0.0");
}

main();
