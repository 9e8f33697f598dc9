/** What was made of a file, made anew only when there is another: a SIGHUP that is about keys must not hold up answers. */
import { statSync } from 'node:fs'

export class LastReading<Result> {
  readonly #read: (file: string) => Result
  #last: { readonly stamp: string; readonly result: Result } | undefined

  /** @param read throws what `of` is to throw, also when the file is not there */
  constructor(read: (file: string) => Result) {
    this.#read = read
  }

  of(file: string): Result {
    const stat = statSync(file, { throwIfNoEntry: false })
    const stamp = stat && [file, stat.dev, stat.ino, stat.size, stat.mtimeMs, stat.ctimeMs].join(' ')
    if (stamp !== undefined && stamp === this.#last?.stamp) return this.#last.result
    const result = this.#read(file)
    this.#last = stamp === undefined ? undefined : { stamp, result }
    return result
  }
}
