const express = require("express");

const app = express();
app.get("/healthz", (req, res) => res.sendStatus(200));
app.listen(process.env.PORT || 8080, "0.0.0.0", () => console.log(`tickets below ${process.env.API_PREFIX}`));
