import { runSubcommand, subcommand } from '../lib/linktool/subcommand.ts'

await runSubcommand('linktool', 'Makes and reads tracking links, and shows what the wrapper does to a message.', [
  subcommand('encode', 'make a link as the wrapper would', async () => {
    return (await import('../lib/linktool/encode-program.ts')).encodeProgram
  }),
  subcommand('decode', 'read a link, ours or of the 2020 project', async () => {
    return (await import('../lib/linktool/decode-program.ts')).decodeProgram
  }),
  subcommand('keys', 'make, list, retire and revoke the keys of links', async () => {
    return (await import('../lib/linktool/keys-program.ts')).keysProgram
  }),
  subcommand('explain', 'show each link of a message, and why it is wrapped or not', async () => {
    return (await import('../lib/linktool/explain-program.ts')).explainProgram
  }),
  subcommand('wrap', 'show what the wrapper would send upstream', async () => {
    return (await import('../lib/linktool/wrap-program.ts')).wrapProgram
  }),
])
