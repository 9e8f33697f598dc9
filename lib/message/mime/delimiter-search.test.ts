import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ByteWindow } from './byte-window.ts'
import { DelimiterSearch, type FoundDelimiter } from './delimiter-search.ts'

function search(text: string, boundaries: readonly string[], cuts: readonly number[] = []): FoundDelimiter[] {
  const window = new ByteWindow()
  const delimiters = new DelimiterSearch(window)
  for (const boundary of boundaries) delimiters.delimiters.open(boundary)
  delimiters.lookFrom(0)
  const found: FoundDelimiter[] = []
  const take = (final: boolean): void => {
    for (let next = delimiters.next(final); next; next = delimiters.next(final)) {
      found.push(next)
      delimiters.lookFrom(next.end)
    }
    assert.ok(delimiters.clear <= window.end)
    window.dropBefore(delimiters.clear)
  }
  let from = 0
  for (const cut of [...cuts, text.length]) {
    window.append(Buffer.from(text.slice(from, cut)))
    from = cut
    take(false)
  }
  take(true)
  return found
}

/** By regular expression, outermost boundary first. */
function expected(text: string, boundaries: readonly string[]): string[] {
  return [...text.matchAll(/(?<=^|\r\n)--[^\r]*?[ \t]*(?=\r\n|$(?![^]))/g)].flatMap(match => {
    const line = match[0].replace(/[ \t]+$/, '')
    const level = boundaries.findIndex(boundary => line === `--${boundary}` || line === `--${boundary}--`)
    return level === -1 ? [] : [`${match.index} ${level} ${line !== `--${boundaries[level]}`}`]
  })
}

const token = fc.constantFrom('\r\n', '\r\n', '--', '--a', '--a--', '--ab', 'a', 'b', ' ', '\t', '-', '\r', 'text')
const text = fc.array(token, { maxLength: 40 }).map(tokens => tokens.join(''))
const boundaries = fc.array(fc.constantFrom('a', 'ab', 'a--', '-a', 'b'), { minLength: 1, maxLength: 3 })

test('DelimiterSearch finds the lines that a regular expression finds, however the text is cut', () => {
  fc.assert(
    fc.property(text, boundaries, fc.array(fc.nat(200)), (text, boundaries, cuts) => {
      const places = cuts.map(cut => cut % (text.length + 1)).toSorted((a, b) => a - b)
      const whole = search(text, boundaries)
      assert.deepEqual(search(text, boundaries, places), whole)
      const lines = whole.map(({ start, level, close }) => {
        const line = text.startsWith('\r\n', start) ? start + 2 : start
        return `${line} ${level} ${close}`
      })
      assert.deepEqual(lines, expected(text, boundaries))
    }),
    { numRuns: 5000 },
  )
})

test('DelimiterSearch takes a line for a delimiter up to 998 bytes of padding', () => {
  for (const cuts of [[], [3], [500, 900, 1001]]) {
    assert.equal(search(`--a${' '.repeat(998)}\r\n`, ['a'], cuts).length, 1)
    assert.equal(search(`--a${' '.repeat(1001)}\r\n`, ['a'], cuts).length, 0)
  }
  // The longest line of all, cut at each of its last bytes.
  const longest = `--a--${' '.repeat(998)}\r\ntext`
  for (let cut = 1000; cut < longest.length; cut++) assert.equal(search(longest, ['a'], [cut]).length, 1, String(cut))
})
