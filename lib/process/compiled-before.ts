/**
 * Loads a program from what Node compiled of it before: about 30 MB and half of the time less than from its sources, for
 * the part of Node that strips types is not even loaded then.
 *
 * Node keeps what it compiled in a folder (`NODE_COMPILE_CACHE`) of which it has to know before it reads the first module.
 * So the process replaces itself once (execve(2): same pid, same standard streams, of which nothing was read), and once
 * more when it had to put something there.
 */
import { accessSync, constants, lstatSync, mkdirSync, statSync } from 'node:fs'
import { flushCompileCache, getCompileCacheDir } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Says that this process has put there what was missing. */
const filledVariable = 'MTA_TRACKING_COMPILED'

/**
 * What `load` loads. May not return, but begin the process anew: to be called before anything else is done.
 * @param load imports all that the program needs
 */
export async function compiledBefore<T>(load: () => Promise<T>): Promise<T> {
  const inUse = getCompileCacheDir()
  if (inUse === undefined) {
    const dir = ownFolder()
    if (dir !== undefined) beginAnew({ NODE_COMPILE_CACHE: dir })
    return load()
  }
  const before = changedAt(inUse)
  const loaded = await load()
  flushCompileCache()
  if (changedAt(inUse) !== before && process.env[filledVariable] === undefined) beginAnew({ [filledVariable]: '1' })
  return loaded
}

/** A folder that nobody else can write: what is in it will be executed. Undefined when there is none, or none is wanted. */
function ownFolder(): string | undefined {
  const uid = process.geteuid?.()
  if (uid === undefined || process.env['NODE_DISABLE_COMPILE_CACHE'] !== undefined) return undefined
  const dir = join(tmpdir(), `mta-tracking-compiled-${uid}`)
  try {
    mkdirSync(dir, { mode: 0o700 })
  } catch {
    // It is there, or there will be none.
  }
  try {
    const found = lstatSync(dir)
    return found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0 ? dir : undefined
  } catch {
    return undefined
  }
}

/** When something was last put into a folder. */
function changedAt(dir: string): bigint {
  return statSync(dir, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n
}

/** Returns only when it can't. */
function beginAnew(more: Readonly<Record<string, string>>): void {
  const { execPath, execArgv, argv, env } = process
  try {
    // Gone after an upgrade of Node, perhaps.
    accessSync(execPath, constants.X_OK)
    process.execve?.(execPath, [argv[0] ?? execPath, ...execArgv, ...argv.slice(1)], { ...env, ...more })
  } catch {
    // Then with the sources.
  }
}
