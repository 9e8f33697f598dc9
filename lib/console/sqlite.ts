/**
 * Node's built-in SQLite. Before it was declared stable Node announces it on standard error at every start; that one
 * notice is withheld here, and nothing else: the hook is in place only while the module loads.
 */
const warn = Object.getOwnPropertyDescriptor(process, 'emitWarning')
const emitWarning = process.emitWarning.bind(process) as (...args: unknown[]) => void
process.emitWarning = (...args: unknown[]) => {
  if (!(args[1] === 'ExperimentalWarning' && String(args[0]).includes('SQLite'))) emitWarning(...args)
}
const sqlite = await import('node:sqlite')
if (warn) Object.defineProperty(process, 'emitWarning', warn)

export const { DatabaseSync } = sqlite
export type { DatabaseSync as Database, StatementSync } from 'node:sqlite'
