/**
 * A folder with one owner: the symbolic link `lock` in it names the process that has it (a link appears with its content
 * in one step, and needs no space on a full disk). A lock whose process is gone is taken over, also when its number has
 * been given to another process since (the time it started at is part of the lock).
 *
 * Processes that don't see each other (two containers with the folder mounted in both) can't be told apart from dead
 * ones: don't share a state folder between them.
 */
import { readlink, rm, symlink, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../process/make-folder.ts'
import { identify, isAlive as isProcessAlive } from '../process/process-identity.ts'
import { StartError } from '../process/start-error.ts'

/** A live process has the folder. */
export class DirectoryInUse extends StartError {}

export interface DirectoryLock {
  /** Gives the folder up; idempotent. */
  release: () => Promise<void>
}

const held = new Set<string>()
/** Stands for the time that a process started at where there is no /proc. */
const unknown = '?'
/** A take-over lasts milliseconds. */
const takeOverMs = 20
const attemptsMax = 10

/**
 * Takes the folder for this process; makes it (mode 0700) when it is not there.
 * @throws {DirectoryInUse} when a live process has it
 * @throws {StartError} when it can't be written
 */
export async function lockDirectory(dir: string): Promise<DirectoryLock> {
  const path = join(dir, 'lock')
  try {
    makeFolder(dir, 0o700)
    for (let attempt = 0; ; attempt++) {
      const owner = await claim(path)
      if (owner === undefined) break
      if (isAlive(owner, path)) {
        throw new DirectoryInUse(`${dir} is in use by process ${owner.pid}: stop that one or choose another folder`)
      }
      if (attempt === attemptsMax)
        throw new StartError(`${dir} is being taken by another process: choose another folder`)
      await removeStale(path, owner)
    }
  } catch (error) {
    if (error instanceof StartError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new StartError(`${dir} can't be written (${code}): check that it exists, its owner and free space`)
  }
  held.add(path)
  let isHeld = true
  return {
    release: async () => {
      if (!isHeld) return
      isHeld = false
      held.delete(path)
      await unlink(path).catch(() => undefined)
    },
  }
}

interface Owner {
  readonly pid: number
  readonly started: string
  readonly text: string
}

/** Takes the lock when nobody has it, else says who does. */
async function claim(path: string): Promise<Owner | undefined> {
  try {
    await symlink(`${process.pid} ${startTime()}`, path)
    return undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const text = await lockText(path)
  const [pid, started] = text.split(' ')
  return { pid: Number(pid), started: started ?? '', text }
}

/** What a lock says; nothing when it is gone or something else bears its name. */
async function lockText(path: string): Promise<string> {
  return readlink(path).catch(() => '')
}

/** Removes the lock of a dead process. Two that find it stale must not remove each other's fresh one: hence a guard. */
async function removeStale(path: string, stale: Owner): Promise<void> {
  const guard = `${path}.taking`
  const taker = await claim(guard)
  if (taker) {
    // It may have died during its take-over.
    if (!isAlive(taker, guard) && (await lockText(guard)) === taker.text)
      await rm(guard, { recursive: true, force: true })
    await new Promise(resolve => setTimeout(resolve, takeOverMs))
    return
  }
  held.add(guard)
  try {
    if ((await lockText(path)) === stale.text) await rm(path, { recursive: true, force: true })
  } finally {
    held.delete(guard)
    await unlink(guard).catch(() => undefined)
  }
}

function isAlive({ pid, started }: Owner, path: string): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  if (pid === process.pid) return held.has(path)
  return started === unknown || startTime() === unknown ? isThere(pid) : isProcessAlive({ pid, started })
}

/** All that can be told without /proc: whether any process has that number. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** When this process started, with the boot's id. */
function startTime(): string {
  return identify(process.pid)?.started ?? unknown
}
