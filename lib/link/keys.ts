/**
 * The keys that sign and verify links. Exactly one signs; links of a `verifying` key go on working; links of a `revoked`
 * one are recognised, so that they can be answered with 410.
 */
import { type LinkKey, parseKeyFile, readKeyFile } from './key-file.ts'

export type { LinkKey, LinkKeyState } from './key-file.ts'

export class LinkKeys {
  /** The key that new links are signed with. */
  readonly signing: LinkKey
  readonly all: readonly LinkKey[]
  readonly #byId: ReadonlyMap<string, LinkKey>

  /** @throws Error when not exactly one key signs */
  constructor(keys: readonly LinkKey[]) {
    const [signing, second] = keys.filter(key => key.state === 'signing')
    if (signing === undefined) throw new Error('no key signs: make one with linktool keys new')
    if (second) throw new Error(`keys ${signing.id} and ${second.id} both sign: set one of them to verifying`)
    this.signing = signing
    this.all = keys
    this.#byId = new Map(keys.map(key => [key.id, key]))
  }

  /**
   * Reads a key file (docs/links.md).
   *
   * @throws Error that names the file, the flaw and the fix, never a secret: missing, unreadable, open to every user of
   *   the machine, damaged, or without exactly one signing key
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
