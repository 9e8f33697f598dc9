/**
 * The file of link keys: its lines, changing them, and writing it. Lines that aren't changed stay as they are, comments
 * included.
 */
import { createSecretKey, randomBytes, randomInt, type KeyObject } from 'node:crypto'
import { realpathSync, statSync, type Stats } from 'node:fs'
import { chmod, chown } from 'node:fs/promises'
import { writeFileDurably } from '../durable/durable-file.ts'
import { fileSystem, type FileSystem } from '../durable/file-system.ts'
import { readNamedFile } from '../process/named-file.ts'

export type LinkKeyState = 'signing' | 'verifying' | 'revoked'

export interface LinkKey {
  /** Two letters or digits, unique in the file; part of every link that was signed with it. */
  readonly id: string
  readonly state: LinkKeyState
  /** As in the file, ISO 8601. */
  readonly created: string
  readonly secret: KeyObject
}

/** Bytes of a secret. */
const secretBytes = 32
/** Largest key file: some 850 keys. */
export const keyFileBytesMax = 65_536

const head = `# Keys of the tracking links. Whoever can read them can make links of yours that lead anywhere; without them no link
# in any mail that was sent can be followed. Keep a copy in a safe place. linktool keys changes this file.
# id state created secret
`
const keyLine = /^([A-Za-z0-9]{2})[ \t]+(\w+)[ \t]+(\S+)[ \t]+(\S+)$/

/** @throws Error that names the line, never a secret */
export function parseKeyFile(text: string): LinkKey[] {
  const keys: LinkKey[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const [, id = '', state = '', created = '', secret = ''] = keyLine.exec(trimmed) ?? []
    const bytes = Buffer.from(secret, 'base64')
    if (id === '' || bytes.length !== secretBytes || bytes.toString('base64') !== secret) {
      throw new Error(`line ${index + 1}: expected id, state, creation time and ${secretBytes} secret bytes in base64`)
    }
    if (state !== 'signing' && state !== 'verifying' && state !== 'revoked') {
      throw new Error(`line ${index + 1}: state of key ${id}: expected signing, verifying or revoked`)
    }
    if (keys.some(key => key.id === id)) throw new Error(`line ${index + 1}: key ${id} is there twice: remove one`)
    keys.push({ id, state, created, secret: createSecretKey(bytes) })
  }
  return keys
}

/**
 * The file with one more key, which signs from now on; the one that signed before goes on verifying.
 * @throws Error when the file is damaged or full
 */
export function addKey(text: string, created: Date): { readonly text: string; readonly id: string } {
  const keys = parseKeyFile(text)
  let id: string
  do id = unusedId()
  while (keys.some(key => key.id === id))
  let lines = text === '' ? head : text.endsWith('\n') ? text : `${text}\n`
  for (const key of keys) if (key.state === 'signing') lines = withState(lines, key.id, 'verifying')
  const time = created.toISOString().replace(/\.\d+Z$/, 'Z')
  lines += `${id} signing ${time} ${randomBytes(secretBytes).toString('base64')}\n`
  if (lines.length > keyFileBytesMax) throw new Error('the file is full: remove the lines of keys that no mail uses')
  return { id, text: lines }
}

/**
 * The file with a key in another state.
 * @throws Error when there is no such key or the change would leave no key that signs
 */
export function setKeyState(text: string, id: string, state: 'verifying' | 'revoked'): string {
  const keys = parseKeyFile(text)
  const key = keys.find(key => key.id === id)
  if (key === undefined) {
    const ids = keys.map(key => key.id).join(', ')
    throw new Error(`there is no key ${JSON.stringify(id)}: ${ids === '' ? 'there are none' : `there are ${ids}`}`)
  }
  if (key.state === 'signing') throw new Error(`key ${id} signs: make its successor first, with linktool keys new`)
  return withState(text, id, state)
}

function withState(text: string, id: string, state: LinkKeyState): string {
  return text
    .split('\n')
    .map(line => (line.trim().startsWith(`${id} `) || line.trim().startsWith(`${id}\t`) ? restate(line, state) : line))
    .join('\n')
}

function restate(line: string, state: LinkKeyState): string {
  return line.replace(/^(\s*\w+\s+)\w+/, `$1${state}`)
}

// Neither 0 and O nor 1, l and I: ids are read aloud in an emergency.
const idCharacters = 'abcdefghijkmnpqrstuvwxyz23456789'

function unusedId(): string {
  const one = () => idCharacters[randomInt(idCharacters.length)]!
  return one() + one()
}

/**
 * The text of a key file.
 * @throws Error that says what to do: missing, unreadable, open to every user of the machine, too large
 */
export function readKeyFile(file: string): string {
  try {
    return readNamedFile(file, stats => {
      refuseOpenMode(stats)
      if (stats.size > keyFileBytesMax) throw new Error(`has ${stats.size} bytes, at most ${keyFileBytesMax} are read`)
    }).toString()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    if (code === 'ENOENT')
      throw new Error(`not there: make it with node cmd/linktool.ts keys new --link-keys ${file}`, { cause: error })
    if (code === 'EACCES')
      throw new Error(`may not be read by this user: chgrp it to a group of the user`, { cause: error })
    throw new Error(`can't be read (${code})`, { cause: error })
  }
}

/** Whoever can read the keys can make links of ours that lead anywhere. */
function refuseOpenMode({ mode }: Stats): void {
  if (mode & 0o007) {
    throw new Error(`is open to every user of this machine (mode ${(mode & 0o777).toString(8)}): chmod 640`)
  }
}

/**
 * Writes a key file so that after a crash there is the old or the new one. Owner, group and mode stay; a new file gets
 * mode 0640.
 */
export async function writeKeyFile(file: string, text: string, files: FileSystem = fileSystem): Promise<void> {
  const before = statSync(file, { throwIfNoEntry: false })
  const path = before ? realpathSync(file) : file
  await writeFileDurably(path, text, {
    ...files,
    open: async (beside, how) => {
      const opened = await files.open(beside, how)
      if (before) await chown(beside, before.uid, before.gid)
      await chmod(beside, before ? before.mode & 0o770 : 0o640)
      return opened
    },
  })
}
