import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { DataDecoder } from './data-decoder.ts'

/** Decodes what a client sends after DATA, in pieces of these sizes. */
function decode(
  input: Buffer,
  cuts: readonly number[] = [],
): { content: string; rest: string | undefined; stray: boolean } {
  const decoder = new DataDecoder()
  let content = ''
  const places = [...new Set(cuts.map(cut => cut % (input.length + 1)))].toSorted((a, b) => a - b)
  for (const [at, from] of [0, ...places].entries()) {
    const piece = input.subarray(from, places[at] ?? input.length)
    const decoded = decoder.decode(piece)
    content += Buffer.concat([...decoded.content]).toString('latin1')
    if (decoded.rest !== undefined) {
      const later = input.subarray(places[at] ?? input.length)
      return { content, rest: Buffer.concat([decoded.rest, later]).toString('latin1'), stray: decoder.stray }
    }
  }
  return { content, rest: undefined, stray: decoder.stray }
}

/** The same by regular expressions over the whole: what RFC 5321 and Postfix's normalisation say. */
function oracle(input: string): { content: string; rest: string | undefined } {
  const end = input.startsWith('.\r\n') ? 0 : input.indexOf('\r\n.\r\n')
  const ended = end !== -1
  const isStart = input.startsWith('.\r\n')
  const raw = ended ? input.slice(0, isStart ? 0 : end + 2) : input
  const rest = ended ? input.slice(isStart ? 3 : end + 5) : undefined
  const lines = raw.split(/\r?\n/)
  const content = lines
    .map(line => (line.startsWith('.') && line !== '.' ? line.slice(1) : line).replaceAll('\r', ' '))
    .join('\r\n')
  return { content, rest }
}

/** Texts of the bytes that matter, and of such as are nearly the same. */
const words = [
  '\r',
  '\n',
  '.',
  'a',
  '\0',
  '\t\x0e\x0b',
  'some text',
  '\x8a\x8d\xff',
  '\r\n',
  '\r\n.',
  '..',
  '\r\n.\r\n',
]
const texts = fc.array(fc.constantFrom(...words), { maxLength: 30 }).map(parts => parts.join(''))

describe('DataDecoder', () => {
  test('finds the end, removes dots, leaves CRLF only, however the stream is cut', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat(200), { maxLength: 12 }), (text, cuts) => {
        // Without an end the last bytes are held back: give every text one.
        const input = `${text}\r\n.\r\nQUIT\r\n`
        const decoded = decode(Buffer.from(input, 'latin1'), cuts)
        assert.deepEqual({ content: decoded.content, rest: decoded.rest }, oracle(input))
        assert.doesNotMatch(decoded.content, /\r(?!\n)|(?<!\r)\n/)
      }),
      { numRuns: 5000 },
    )
  })

  test('tells a message with stray line ends from one without', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat(200), { maxLength: 12 }), (text, cuts) => {
        const input = `${text}\r\n.\r\n`
        const { rest } = oracle(input)
        const message = input.slice(0, input.length - (rest ?? '').length)
        const isStray = /\r(?!\n)|(?<!\r)\n/.test(message)
        assert.equal(decode(Buffer.from(input, 'latin1'), cuts).stray, isStray)
      }),
      { numRuns: 3000 },
    )
  })

  test('a message of nothing', () => {
    assert.deepEqual(decode(Buffer.from('.\r\nQUIT')), { content: '', rest: 'QUIT', stray: false })
  })

  test('a first line of one stuffed dot, cut after it, is content', () => {
    const input = Buffer.from('..\r\n.\r\nMAIL FROM:<ceo@victim.test>\r\n')
    for (let cut = 0; cut < input.length; cut++) {
      assert.equal(decode(input, [cut]).content, '.\r\n', `cut at ${cut}`)
    }
  })

  for (const [what, end] of Object.entries({
    'LF dot LF': '\n.\n',
    'LF dot CRLF': '\n.\r\n',
    'CRLF dot LF': '\r\n.\n',
    'CR dot CR': '\r.\r',
    'CR dot CRLF': '\r.\r\n',
    'CRLF dot CR': '\r\n.\r',
    'LF dot CR': '\n.\r',
    'LF dot dot CRLF': '\n..\r\n',
    'NUL before the dot': '\r\n\0.\r\n',
    'NUL behind the dot': '\r\n.\0\r\n',
    'CR CRLF dot CRLF without its LF': '\r\r.\r\n',
    'dot CR CRLF': '\r\n.\r\r\n',
  })) {
    test(`${what} ends no message`, () => {
      const input = Buffer.from(`first${end}MAIL FROM:<ceo@victim.test>\r\n.\r\n`, 'latin1')
      for (let cut = 0; cut <= input.length; cut++) {
        const { content, rest } = decode(input, [cut])
        assert.equal(rest, '')
        assert.match(content, /ceo@victim/)
        assert.doesNotMatch(content, /\r(?!\n)|(?<!\r)\n/)
      }
      assert.match(
        decode(
          input,
          Array.from({ length: input.length }, (_, at) => at),
        ).content,
        /ceo@victim/,
      )
    })
  }
})
