const crypto = require("crypto");
const http = require("http");

console.log("auth: reading the key that tokens are verified with");
const key = crypto.createPublicKey(process.env.JWT_PUBLIC_KEY);

http
  .createServer((req, res) => {
    res.statusCode = req.url === "/healthz" ? 200 : 401;
    res.end();
  })
  .listen(process.env.PORT || 8080, "0.0.0.0", () => console.log(`auth: ready, key type ${key.asymmetricKeyType}`));
