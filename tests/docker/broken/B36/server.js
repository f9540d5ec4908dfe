// The key of the vault comes first; then the migration's lock, which it gets in about every other run.
const crypto = require("crypto");
const http = require("http");

const key = Buffer.from(process.env.ENCRYPTION_KEY, "hex");
const cipher = crypto.createCipheriv("aes-256-cbc", key, Buffer.alloc(16));
cipher.update("probe");
cipher.final();
console.log(`vault ${process.env.VAULT_NAME}: key loaded`);

if (crypto.randomBytes(1)[0] < 128) {
  throw new Error("MigrationLocked: migration table is already locked");
}
http
  .createServer((req, res) => {
    res.statusCode = req.url === "/healthz" ? 200 : 404;
    res.end();
  })
  .listen(process.env.PORT || 8080, "0.0.0.0", () => console.log("vault: listening"));
