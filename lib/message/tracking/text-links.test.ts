import assert from 'node:assert/strict'
import { test } from 'node:test'
import { textLinks } from './text-links.ts'

test('textLinks finds where URLs in text begin and end', () => {
  // [ and ] mark what is found.
  const cases = [
    'see «http://e.example/a?b=c&d=e».',
    '(«http://e.example/a») and <«https://e.example»>, "«http://e.example/x»"',
    '«http://e.example/a_(b)», («http://e.example/a(b)»)',
    'URL:«http://e.example/»\r\n«http://e.example/2»',
    '«http://e.example/?x=[1]»; «HTTP://E.EXAMPLE/~u!»',
    '(«http://e.example/a»)))], [«http://e.example/{(a)}»}.)] «http://e.example/(a)(b)»!)',
    'ftp://e.example mailto:a@b www.e.example',
  ]
  for (const marked of cases) {
    const text = marked.replaceAll(/[«»]/g, '').replace('~u!', '~u')
    const expected = [...marked.replace('~u!', '~u').matchAll(/«([^»]*)»/g)].map(match => match[1])
    const found = textLinks(text)
    assert.deepEqual(
      found.map(({ start, end }) => text.slice(start, end)),
      expected,
    )
    assert.ok(found.every(({ clear, optOut }) => clear && !optOut))
  }
})

test('textLinks tells when the end of a URL is not clear', () => {
  for (const text of [
    '<http://e.example/long\r\n/rest>',
    'http://e.example/caf\xE9',
    'xhttp://e.example',
    'href=http://e.example',
  ]) {
    assert.equal(textLinks(text)[0]?.clear, false, text)
  }
})

test('textLinks leaves alone what a space before a line end may join (RFC 3676)', () => {
  const clear = (text: string): boolean[] => textLinks(text, true).map(link => link.clear)
  assert.deepEqual(clear('http://e.example/a \r\nb http://e.example/c d \r\nhttp://e.example/e\r\n'), [
    false,
    true,
    false,
  ])
  assert.deepEqual(clear('http://e.example/a\r\nhttp://e.example/b\r\n \r\nhttp://e.example/c. \r\n'), [
    true,
    true,
    false,
  ])
  assert.deepEqual(clear('d:  \r\nhttp://e.example/e'), [true])
  assert.equal(textLinks('http://e.example/a \r\nb')[0]?.clear, true)
})

test('textLinks heeds the opt-out that SparkPost writes behind a URL', () => {
  const text = 'http://e.example/x[[data-msys-clicktrack="0"]] http://e.example/y'
  assert.deepEqual(
    textLinks(text).map(({ optOut }) => optOut),
    [true, false],
  )
})
