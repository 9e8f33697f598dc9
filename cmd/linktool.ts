import { decodeProgram } from '../lib/linktool/decode-program.ts'
import { encodeProgram } from '../lib/linktool/encode-program.ts'
import { explainProgram } from '../lib/linktool/explain-program.ts'
import { keysProgram } from '../lib/linktool/keys-program.ts'
import { runSubcommand, subcommand } from '../lib/linktool/subcommand.ts'
import { wrapProgram } from '../lib/linktool/wrap-program.ts'

await runSubcommand('linktool', 'Makes and reads tracking links, and shows what the wrapper does to a message.', [
  subcommand('make a link as the wrapper would', encodeProgram),
  subcommand('read a link, ours or of the 2020 project', decodeProgram),
  subcommand('make, list, retire and revoke the keys of links', keysProgram),
  subcommand('show each link of a message, and why it is wrapped or not', explainProgram),
  subcommand('show what the wrapper would send upstream', wrapProgram),
])
