/** A key, from the environment or from a file that may change while we run. */
import { readNamedFile } from '../../process/named-file.ts'

const keyCharsMax = 4096

export class Credential {
  readonly #file: string | undefined
  readonly #variable: string
  #value: string

  /**
   * @param file holds the key, or a line `VARIABLE=key` as in an environment file; goes before `fallback`
   * @param variable the environment variable's name, for the file and for messages
   * @param fallback the variable's value
   * @throws Error that names file or variable and what to do
   */
  constructor(file: string | undefined, variable: string, fallback: string | undefined) {
    this.#file = file
    this.#variable = variable
    if (file === undefined) {
      const value = fallback?.trim() ?? ''
      if (value === '') throw new Error(`there is no key: set ${variable} or --api-key-file`)
      this.#value = checked(value, variable)
    } else {
      let text: string
      try {
        text = readNamedFile(file).toString()
      } catch (error) {
        throw new Error(
          `--api-key-file ${file} can't be read (${(error as NodeJS.ErrnoException).code}): it should hold the key`,
          {
            cause: error,
          },
        )
      }
      this.#value = keyOf(text, file, variable)
    }
  }

  get value(): string {
    return this.#value
  }

  /** Reads the file again. Whether the key changed; false also when there is no file or it can't be read at the moment. */
  async reload(): Promise<boolean> {
    if (this.#file === undefined) return false
    try {
      const value = keyOf(readNamedFile(this.#file).toString(), this.#file, this.#variable)
      const changed = value !== this.#value
      this.#value = value
      return changed
    } catch {
      return false
    }
  }
}

function keyOf(text: string, file: string, variable: string): string {
  const assigned = text
    .split('\n')
    .map(line => line.trim().replace(/^export\s+/, ''))
    .find(line => line.startsWith(`${variable}=`))
  const value =
    assigned === undefined ? text.trim() : assigned.slice(variable.length + 1).replaceAll(/^["']|["']$/g, '')
  if (value === '') throw new Error(`${file} is empty: it should hold the key`)
  return checked(value, file)
}

/** What can stand in a header; anything else would fail at every request. */
function checked(value: string, from: string): string {
  if (value.length > keyCharsMax || !/^[!-~]+(?: [!-~]+)*$/.test(value)) {
    throw new Error(`${from} does not hold a key: expected one line of visible ASCII characters`)
  }
  return value
}
