// Shaped after node-migrate's command: `migrate [up|down] [NAME]`.
const migrations = ["001-users", "002-orders"];
const [direction = "up", name, ...rest] = process.argv.slice(2);

if (name && !migrations.includes(name)) {
  console.error(`error: migration "${name}" not found (${[name, ...rest].join(" ")})`);
  process.exit(1);
}
for (const migration of migrations) console.log(`${direction} : ${migration}`);
console.log("migration : complete");
