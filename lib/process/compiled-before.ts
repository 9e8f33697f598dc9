/**
 * Loads a program from what Node compiled of it before: about 30 MB and half of the time less than from its sources, for
 * the part of Node that strips types is not even loaded then.
 *
 * Node keeps what it compiled in a folder (`NODE_COMPILE_CACHE`) of which it has to know before it reads the first module.
 * So the process replaces itself once (execve(2): same pid, same standard streams, of which nothing was read), and once
 * more when it had to put something there. On that way it is told how to do with less memory, which can't be said later.
 */
import { accessSync, constants, existsSync, lstatSync, mkdirSync, statSync } from 'node:fs'
import { flushCompileCache, getCompileCacheDir } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** How far this process has come: `begun` anew with a folder, `filled` it with what was missing there. */
const stageVariable = 'MTA_TRACKING_COMPILED'

/** Of mallopt(3). What the user has set is left alone. */
export const mallocSettings = {
  /** Freed memory that each of Node's threads kept for itself was up to 10 MB. */
  MALLOC_ARENA_MAX: '1',
  /** The usual value, but as one that is set it stays: else what is freed is given back later and later. */
  MALLOC_TRIM_THRESHOLD_: '131072',
} as const

/**
 * V8 optimises functions one at a time, on the main thread, which stops for 20 ms at most while it does. With several at
 * once their working space was up to 15 MB, in one start of six, and stayed with the process.
 */
export const v8Flag = '--no-concurrent-recompilation'

/**
 * What `load` loads. May not return, but begin the process anew: to be called before anything else is done.
 * @param load imports all that the program needs
 */
export async function compiledBefore<T>(load: () => Promise<T>): Promise<T> {
  const inUse = getCompileCacheDir()
  // Once only: a folder that was to be used may turn out to be of no use to Node (a full disk, one that is read only).
  if (process.env[stageVariable] === undefined) {
    const dir = inUse ?? ownFolder()
    const flags = flagsNeeded(dir !== undefined)
    const more = {
      ...(dir !== inUse && { NODE_COMPILE_CACHE: dir }),
      ...Object.fromEntries(Object.entries(mallocSettings).filter(([name]) => process.env[name] === undefined)),
    }
    if (flags.length > 0 || Object.keys(more).length > 0) beginAnew({ ...more, [stageVariable]: 'begun' }, flags)
  }
  if (inUse === undefined) return load()
  const before = changedAt(inUse)
  const loaded = await load()
  flushCompileCache()
  if (changedAt(inUse) !== before && process.env[stageVariable] !== 'filled') beginAnew({ [stageVariable]: 'filled' })
  return loaded
}

/** Flags of Node and V8 that this process was not started with. */
function flagsNeeded(hasFolder: boolean): readonly string[] {
  const preload = new URL('node-22.mjs', import.meta.url)
  const isOld = Number.parseInt(process.versions.node, 10) < 24
  const flags = [v8Flag, ...(hasFolder && isOld && existsSync(preload) ? [`--import=${preload.href}`] : [])]
  return flags.filter(flag => !process.execArgv.includes(flag))
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

/** Changes when something is put into the folder, by Node or by node-22.mjs. */
function changedAt(dir: string): string {
  return [dir, join(dir, 'stripped')]
    .map(each => statSync(each, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? '')
    .join(' ')
}

/** Returns only when it can't. */
function beginAnew(more: NodeJS.ProcessEnv, flags: readonly string[] = []): void {
  const { execPath, execArgv, argv, env } = process
  try {
    // Gone after an upgrade of Node, perhaps.
    accessSync(execPath, constants.X_OK)
    process.execve?.(execPath, [argv[0] ?? execPath, ...flags, ...execArgv, ...argv.slice(1)], { ...env, ...more })
  } catch {
    // Then with the sources.
  }
}
