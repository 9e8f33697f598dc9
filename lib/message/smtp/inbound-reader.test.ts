import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { InboundReader, type InboundHooks } from './inbound-reader.ts'

/** Notes what is heard; DATA begins a message. The test answers commands and messages by `proceed`. */
class Listener implements InboundHooks {
  readonly heard: string[] = []
  held = false
  readonly reader: InboundReader = new InboundReader(this)
  #proceed: (() => void)[] = []
  #content = ''

  command = (line: Buffer, next: () => void) => {
    this.heard.push(`command ${line.toString('latin1')}`)
    if (line.toString() !== 'DATA') {
      this.#proceed.push(next)
      return
    }
    this.reader.receive({
      content: pieces => {
        this.#content += Buffer.concat([...pieces]).toString('latin1')
      },
      end: () => {
        this.heard.push(`message ${this.#content}`)
        this.#content = ''
        this.#proceed.push(() => this.reader.resume())
      },
    })
    next()
  }
  tooLong = () => this.heard.push('too long')
  lineBytesMax = () => 100
  ended = () => this.heard.push('ended')
  hold = () => (this.held = true)
  flow = () => (this.held = false)

  /** Answers what waits; false when nothing does. */
  proceed(): boolean {
    const next = this.#proceed.shift()
    next?.()
    return next !== undefined
  }
}

describe('InboundReader', () => {
  const said = 'EHLO a\r\nMAIL\nDATA\r\none\r\n..two\r\n.\r\nNOOP\r\nDATA\r\n.\r\nQUIT\r\nhalf'
  const heard = ['EHLO a', 'MAIL', 'DATA', 'one\r\n.two\r\n', 'NOOP', 'DATA', '', 'QUIT']
  const expected = heard.map((text, at) => `${at === 3 || at === 6 ? 'message' : 'command'} ${text}`)

  test('hears the same however it is cut, and whether it comes before or after the answers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(said.length), { maxLength: 20 }),
        fc.infiniteStream(fc.boolean()),
        (cuts, answers) => {
          const listener = new Listener()
          const places = [0, ...cuts.toSorted((a, b) => a - b), said.length]
          for (const [at, from] of places.entries()) {
            listener.reader.read(Buffer.from(said.slice(from, places[at + 1] ?? said.length), 'latin1'))
            if (answers.next().value) while (listener.proceed());
          }
          listener.reader.end()
          while (listener.proceed());
          assert.deepEqual(listener.heard, [...expected, 'ended'])
        },
      ),
    )
  })

  test('hears one command at a time, and knows when more has come', () => {
    const listener = new Listener()
    listener.reader.read(Buffer.from('NOOP\r\n'))
    assert.equal(listener.reader.more, false)
    listener.reader.read(Buffer.from('RSET\r\nQUIT\r\n'))
    assert.equal(listener.reader.more, true)
    assert.deepEqual(listener.heard, ['command NOOP'])
    listener.proceed()
    assert.deepEqual(listener.heard, ['command NOOP', 'command RSET'])
    assert.equal(listener.reader.more, true)
  })

  test('makes a client wait that says more than is handled', () => {
    const listener = new Listener()
    listener.reader.read(Buffer.from('NOOP\r\n'))
    for (let count = 0; count < 20; count++) listener.reader.read(Buffer.from('NOOP\r\n'.repeat(200)))
    assert.ok(listener.held)
    for (let count = 0; count < 4000; count++) listener.proceed()
    assert.ok(listener.held)
    while (listener.proceed());
    assert.ok(!listener.held)
    assert.equal(listener.heard.length, 4001)
  })

  test('hears nothing more once it is closed, not even what has come already', () => {
    const listener = new Listener()
    listener.reader.read(Buffer.from('STARTTLS\r\nRSET\r\n'))
    listener.reader.read(Buffer.from('QUIT\r\n'))
    listener.reader.close()
    listener.proceed()
    listener.reader.read(Buffer.from('NOOP\r\n'))
    listener.reader.end()
    assert.deepEqual(listener.heard, ['command STARTTLS'])
  })

  test('a line that is too long is the last thing heard', () => {
    const listener = new Listener()
    for (const text of ['x'.repeat(100), 'x', '\r\nNOOP\r\n']) listener.reader.read(Buffer.from(text))
    assert.deepEqual(listener.heard, ['too long'])
  })
})
