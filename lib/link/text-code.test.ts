import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decodeText } from './decode-text.ts'
import { encodeText } from './encode-text.ts'
import { alphabet, symbols, textUnitsMax } from './text-code.ts'
import { symbolRows } from './text-code-table.ts'

const anyUnit = fc.integer({ min: 0, max: 0xffff }).map(unit => String.fromCharCode(unit))
const piece = fc.oneof(
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  fc.constantFrom(...symbols.map(symbol => symbol.text)),
  fc.stringMatching(/^[0-9a-f]{0,40}$/),
  fc.stringMatching(/^[\w-]{0,60}$/),
  fc.stringMatching(/^(?:%[0-9A-F]{2}){0,20}$/),
  fc.stringMatching(/^(?:%[0-9a-f]{2}){0,20}$/),
  fc.stringMatching(/^(?:%[0-9A-Fa-f]{1,2}){0,20}$/),
  fc.string({ unit: anyUnit, maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
)
const anyText = fc
  .array(fc.tuple(piece, fc.integer({ min: 1, max: 4 })), { maxLength: 12 })
  .map(pieces => pieces.map(([text, times]) => text.repeat(times)).join(''))

test('a text comes back unit by unit, and is written in the alphabet of base64url', () => {
  fc.assert(
    fc.property(anyText, text => {
      const encoded = encodeText(text)
      assert.match(encoded, /^[\w-]*$/)
      assert.deepEqual(decodeText(encoded, 0, false), { text, end: encoded.length })
    }),
    { numRuns: 3000 },
  )
})

test('a text with an end comes back whatever stands before and after it', () => {
  const around = fc.stringMatching(/^[\w-]{0,12}$/)
  fc.assert(
    fc.property(anyText, around, around, (text, before, after) => {
      const encoded = encodeText(text, true)
      assert.deepEqual(decodeText(before + encoded + after, before.length, true), {
        text,
        end: before.length + encoded.length,
      })
    }),
    { numRuns: 1000 },
  )
})

test('lone surrogates and every other code unit survive', () => {
  for (let first = 0; first < 0x10000; first += 4096) {
    const text = Array.from({ length: 4096 }, (_, index) => String.fromCharCode(first + index)).join('')
    assert.equal(decodeText(encodeText(text), 0, false)?.text, text)
  }
  assert.equal(decodeText(encodeText('\ud83d'), 0, false)?.text, '\ud83d')
})

test('texts up to the limit come back, longer ones are refused', () => {
  for (const unit of ['a', '|', '%20', 'é', 'ab|é', '%', 'A9-_', '\ud800']) {
    const text = unit.repeat(textUnitsMax).slice(0, textUnitsMax)
    assert.equal(decodeText(encodeText(text), 0, false)?.text, text)
    assert.throws(() => encodeText(`${text}a`), RangeError)
  }
  const longCopies = encodeText('a'.repeat(textUnitsMax)) + encodeText('a'.repeat(textUnitsMax))
  assert.equal(decodeText(longCopies, 0, false), undefined)
})

test('decodeText reads anything without harm: undefined, or a text within the limit', () => {
  const anything = fc.oneof(fc.string({ unit: fc.constantFrom(...alphabet.split('')), maxLength: 200 }), fc.string())
  fc.assert(
    fc.property(anything, fc.boolean(), (encoded, ended) => {
      const decoded = decodeText(encoded, 0, ended)
      if (decoded === undefined) return
      assert.ok(decoded.text.length <= textUnitsMax)
      assert.ok(decoded.end <= encoded.length)
    }),
    { numRuns: 5000 },
  )
})

test('decodeText refuses what is no character of the alphabet, and a last character that is not filled with ones', () => {
  const encoded = encodeText('https://example.com/')
  for (const character of ['=', '.', '/', '+', ' ', 'é', '\0'])
    assert.equal(decodeText(encoded + character, 0, false), undefined)
  const cut = decodeText(encoded.slice(0, -1) + 'A', 0, false)
  assert.notEqual(cut?.text, 'https://example.com/')
})

test('the code is complete, prefix-free, and has every visible ASCII character', () => {
  assert.equal(
    symbols.reduce((sum, { bits }) => sum + 2 ** -bits, 0),
    1,
  )
  const codes = symbols.map(({ code, bits }) => code.toString(2).padStart(bits, '0'))
  for (const [index, code] of codes.entries())
    assert.ok(codes.every((other, place) => place === index || !other.startsWith(code)))
  const texts = new Set(symbols.map(({ text }) => text))
  for (let code = 0x21; code < 0x7f; code++) assert.ok(texts.has(String.fromCharCode(code)))
  // The filling of the last character must not be a symbol.
  assert.ok(codes.every(code => !/^1{1,5}$/.test(code)))
})

test('the table is frozen: links in mails were written with it', () => {
  assert.equal(
    createHash('sha256').update(JSON.stringify(symbolRows)).digest('hex'),
    'e67f4147c13d0f474fe9ba48dddaa72c1868d4e3dccaef579d2f87f773f66176',
  )
  for (const [text, encoded] of vectors) {
    assert.equal(decodeText(encoded, 0, false)?.text, text)
  }
})

// What was written once is read for ever; the encoder may find something shorter one day.
const vectors: readonly (readonly [text: string, encoded: string])[] = [
  ['https://www.example.com/', 'tNMfek_'],
  ['https://example.com/sale?utm_source=newsletter&utm_medium=email&utm_campaign=spring', 'd0x96SUeBK8mXMKwzsf'],
  ['https://example.org/%D0%BF%D1%80%D0%B8%d0%b2?x=%2F%2f', 'd0x97we-uhf6MBoXH-B0LKHZm-l_gC_'],
  [
    'https://example.net/u/3f21937f0f636c8cec1db30bf/Y1lM9w9S1KenVjis8KQ5APgyWV3loW8s',
    'd0x97wmxPSR-Qyb-HsbZGdg7ZhfiqQbGspnuHqWpT06scVnhSHIB8GSyu8tC3ln',
  ],
  ['https://example.com/日本/😀?q=a b', 'd0x96T_cWXlZywX9x2D3eAIdkaP-4ABAd'],
  ['http://example.com/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|~"', 'ttMfekjq2Yf__y_9v'],
]
