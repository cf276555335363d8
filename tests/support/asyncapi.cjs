// Reads AsyncAPI documents, with all that they refer to, by the reference parser of the AsyncAPI initiative.
//
//   node asyncapi.cjs FILE...
//
// prints one JSON array: for each file the problems that it found, as {severity, code, path, message}; 0 is an error.
const { readFileSync } = require("node:fs");
const { Parser } = require("@asyncapi/parser");

const parser = new Parser();

async function problems(file) {
  const { diagnostics } = await parser.parse(readFileSync(file, "utf8"), { source: file });
  return diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("."), message }));
}

Promise.all(process.argv.slice(2).map(problems)).then((all) => console.log(JSON.stringify(all)));
