import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headOf, type FilePosition } from './log-file.ts'
import { LogFileSet, type ListedFile } from './log-file-set.ts'
import { NextFile, type SearchedFiles } from './next-file.ts'

const file = (path: string, number: number): ListedFile => ({
  path,
  identity: { dev: '1', ino: String(number), birth: String(number) },
  modifiedMs: number,
  size: 100,
})
const place: FilePosition = { ...file('', 1).identity, head: headOf(Buffer.from('a line')), offset: 7, at: 5 }

/** Finds nothing. */
const without: SearchedFiles = {
  path: 'mail.log',
  locate: async () => -1,
  onward: async () => undefined,
  changedSince: list => [...list],
}

for (const [what, choose] of [
  ['at', (next: NextFile) => next.at(place, () => undefined)],
  ['copyOf', (next: NextFile) => next.copyOf(place, 0)],
  ['after', (next: NextFile) => next.after(place, 0, 0, undefined)],
] as const) {
  test(`NextFile.${what} takes a file for gone when two lists without it are alike, and says so once`, async () => {
    const lost: string[] = []
    const chosen = choose(new NextFile(without, reason => lost.push(reason)))
    const before = [file('mail.log.1', 2), file('mail.log', 3e9)]
    const moved = [file('mail.log.2', 2), file('mail.log', 3e9)]
    for (const list of [before, moved]) {
      assert.equal(await chosen(list), undefined)
      assert.deepEqual(lost, [])
    }
    const choice = await chosen(moved)
    assert.equal(choice?.file.path, 'mail.log.2')
    assert.equal(choice.offset, 0)
    await chosen(moved)
    assert.equal(lost.length, 1)
  })
}

test('LogFileSet looks again while names move: a file between two names is not missed', async () => {
  const log = file('mail.log', 3)
  const looks = [[log], [file('mail.log.1', 2), log], [file('mail.log.1', 2), log]]
  const set = new LogFileSet('mail.log', async () => looks.shift()!)
  assert.deepEqual(
    (await set.list()).map(({ path }) => path),
    ['mail.log.1', 'mail.log'],
  )
  assert.equal(looks.length, 0)
})
