// How a script of the test harness is spoken to: a command is one line of JSON on stdin, its answer
// one on stdout, and the script ends with its stdin. bench/src/world/script.rs is the other side.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The module of a package that bench/tools/install.sh put below target/tools.
export async function installed(folder, name) {
  const require = createRequire(new URL(`../../target/tools/${folder}/`, import.meta.url));
  return import(pathToFileURL(require.resolve(name)));
}

// Says `ready` first, then answers commands, several at a time. {"id":1,"do":"open","url":"…"}
// runs commands.open({ url: "…" }); the answer is {"id":1,"value":…} or {"id":1,"error":"…"}.
export function serve(ready, commands, end) {
  const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    const { id, do: name, ...given } = JSON.parse(line);
    try {
      if (!Object.hasOwn(commands, name)) throw new Error(`no command is called ${name}`);
      say({ id, value: (await commands[name](given)) ?? null });
    } catch (error) {
      say({ id, error: error.message });
    }
  });
  lines.on("close", async () => {
    await end();
    process.exit(0);
  });
  say({ id: 0, value: ready });
}
