// Writes htmx, made small, and its licence to ../assets.
import { readFile, writeFile } from "node:fs/promises";
import { transform } from "esbuild";

const from = new URL("node_modules/htmx.org/", import.meta.url);
const to = new URL("../parts/assets/", import.meta.url);
const { version } = JSON.parse(await readFile(new URL("package.json", from), "utf8"));
const source = await readFile(new URL("dist/htmx.js", from), "utf8");
const { code } = await transform(source, { minify: true, target: "es2022", legalComments: "none" });
await writeFile(new URL("htmx.js", to), `/* htmx ${version}, 0BSD: htmx.LICENSE */\n${code}`);
await writeFile(new URL("htmx.LICENSE", to), await readFile(new URL("LICENSE", from)));
