// Builds the console's assets into src/linklocal/console/static. `make run` and the wheel build call it;
// nothing of npm is needed at run time, and no asset names another host.
import { build } from "esbuild";
import * as sass from "sass";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = fileURLToPath(new URL("../src/linklocal/console/static/", import.meta.url));
const modules = `${here}node_modules/`;

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });

await build({
  entryPoints: { console: `${here}entry/console.js` },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "external",
  logLevel: "warning",
});

const css = sass.compile(`${here}entry/console.scss`, {
  style: "compressed",
  loadPaths: [modules],
  quietDeps: true,
  silenceDeprecations: ["if-function", "global-builtin", "import"],
}).css;
const foreign = css.match(/url\(["']?(https?:)?\/\/[^)]*\)/);
if (foreign) throw new Error(`the stylesheet names another host: ${foreign[0]}`);
await writeFile(`${out}console.css`, css);

// htmx comes as a script of its own, before its extension: bundled, the extension does not find it.
for (const [from, to] of [
  ["htmx.org/dist/htmx.min.js", "htmx.js"],
  ["htmx.org/dist/ext/hx-sse.min.js", "hx-sse.js"],
]) {
  const text = await readFile(`${modules}${from}`, "utf8");
  await writeFile(`${out}${to}`, text.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n"));
}
for (const [family, weight] of [
  ["Sans", "Regular"],
  ["Sans", "SemiBold"],
  ["Mono", "Regular"],
]) {
  const file = `IBMPlex${family}-${weight}-Latin1.woff2`;
  await cp(`${modules}@ibm/plex-${family.toLowerCase()}/fonts/split/woff2/${file}`, `${out}${file}`);
}
await cp(`${here}entry/icon.svg`, `${out}icon.svg`);
for (const [name, file] of [
  ["htmx.org", "htmx.org/LICENSE"],
  ["@ibm/plex-sans", "@ibm/plex-sans/LICENSE.txt"],
  ["@carbon/styles", "@carbon/styles/LICENSE"],
]) {
  const text = await readFile(`${modules}${file}`, "utf8");
  await writeFile(`${out}LICENSES.txt`, `=== ${name}\n\n${text}\n`, { flag: "a" });
}
