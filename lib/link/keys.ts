/**
 * The keys that sign links, read from a file of lines:
 *
 *     # id state created secret
 *     k7 signing 2026-11-21T18:40:00Z 3q2+7wAA…=
 *
 * Exactly one key signs. Links of a `verifying` key go on working; links of a `revoked` one are answered with 410.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'

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
export const secretBytes = 32
/** Largest key file: some 600 keys. */
export const keyFileBytesMax = 65_536

const keyLine = /^([A-Za-z0-9]{2})\s+(\w+)\s+(\S+)\s+(\S+)$/

export class LinkKeys {
  /** The key that new links are signed with. */
  readonly signing: LinkKey
  readonly all: readonly LinkKey[]
  readonly #byId: ReadonlyMap<string, LinkKey>

  /** @throws Error when not exactly one key signs or an id is there twice */
  constructor(keys: readonly LinkKey[]) {
    const byId = new Map<string, LinkKey>()
    for (const key of keys) {
      if (byId.has(key.id)) throw new Error(`key ${key.id} is there twice: remove one of the lines`)
      byId.set(key.id, key)
    }
    const [signing, second] = keys.filter(key => key.state === 'signing')
    if (signing === undefined) throw new Error('no key signs: run linktool keys new --link-keys with this file')
    if (second) throw new Error(`keys ${signing.id} and ${second.id} both sign: set one of them to verifying`)
    this.signing = signing
    this.all = keys
    this.#byId = byId
  }

  /**
   * Reads a key file.
   *
   * @throws Error whose message names the file, the flaw and the fix, never a secret: missing, unreadable, readable by
   *   every user of the machine, damaged, or without exactly one signing key
   */
  static load(file: string): LinkKeys {
    try {
      return new LinkKeys(parseKeyFile(readKeyFile(file)))
    } catch (error) {
      throw new Error(`link keys ${file}: ${(error as Error).message}`, { cause: error })
    }
  }

  find(id: string): LinkKey | undefined {
    return this.#byId.get(id)
  }
}

/** Reads the text of a key file, and refuses one that everybody may read. */
export function readKeyFile(file: string): string {
  let descriptor
  try {
    descriptor = openSync(file, 'r')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT')
      throw new Error('not there: make it with linktool keys new --link-keys FILE', { cause: error })
    if (code === 'EACCES') throw new Error('may not be read by this user: give its group to the user', { cause: error })
    throw new Error(`can't be read (${code})`, { cause: error })
  }
  try {
    const stat = fstatSync(descriptor)
    if (!stat.isFile()) throw new Error('is not a file')
    // Whoever can read the keys can make links of ours that lead anywhere.
    if (stat.mode & 0o007) {
      throw new Error(`is open to every user of this machine (mode ${(stat.mode & 0o777).toString(8)}): chmod 640`)
    }
    if (stat.size > keyFileBytesMax)
      throw new Error(`has ${stat.size} bytes, more than the ${keyFileBytesMax} of a key file`)
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}

/** @throws Error that names the line */
export function parseKeyFile(text: string): LinkKey[] {
  const keys: LinkKey[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const [, id = '', state = '', created = '', secret = ''] = keyLine.exec(trimmed) ?? []
    const bytes = Buffer.from(secret, 'base64')
    if (id === '' || bytes.length !== secretBytes || bytes.toString('base64') !== secret) {
      throw new Error(
        `line ${index + 1}: expected id, state, creation time and a secret of ${secretBytes} bytes in base64`,
      )
    }
    if (state !== 'signing' && state !== 'verifying' && state !== 'revoked') {
      throw new Error(`line ${index + 1}: state of key ${id}: expected signing, verifying or revoked`)
    }
    keys.push({ id, state, created, secret: createSecretKey(bytes) })
  }
  return keys
}
