// Bundles an app made of the samples: node build.mjs DIRECTORY ENTRY
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { compileScript, parse } from "vue/compiler-sfc";

const [directory, entry] = process.argv.slice(2);

const vue = {
  name: "vue",
  setup(builder) {
    builder.onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const { descriptor } = parse(await readFile(path, "utf8"), { filename: path });
      return { contents: compileScript(descriptor, { id: path, inlineTemplate: true }).content };
    });
  },
};

await build({
  absWorkingDir: directory,
  bundle: true,
  define: { "process.env.NODE_ENV": '"development"' },
  entryPoints: [join(directory, entry)],
  format: "esm",
  jsx: "automatic",
  logLevel: "warning",
  outfile: join(directory, "bundle.js"),
  plugins: [vue],
  preserveSymlinks: true,
  tsconfigRaw: { compilerOptions: { experimentalDecorators: true, useDefineForClassFields: false } },
});
