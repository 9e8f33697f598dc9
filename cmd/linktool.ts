import { keysProgram } from '../lib/linktool/keys-program.ts'
import { runSubcommand, subcommand } from '../lib/linktool/subcommand.ts'

await runSubcommand('linktool', 'Makes and reads tracking links, and shows what the wrapper does to a message.', [
  subcommand('make, list, retire and revoke the keys of links', keysProgram),
])
