import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { DeliveryEvent, EngagementEvent } from './event.ts'
import { eventCharsMax, readEvent } from './read-event.ts'

const click: EngagementEvent = {
  id: '9223372036854775807',
  type: 'click',
  messageId: '0000123456789abcdef0',
  at: 1_700_000_000_123,
  ip: '203.0.113.7',
  userAgent: '',
  url: 'https://example.com/\u{d800}',
  linkName: 'main',
  verdict: { bot: true, reason: 'burst', repeat: true, device: 'Mac', os: 'macOS' },
  geo: {
    country: 'DE',
    region: 'BY',
    city: 'München',
    latitude: 48.1,
    longitude: -11.5,
    zip: '80331',
    postalCode: '80331',
  },
}
const bounce: DeliveryEvent = {
  id: '0',
  type: 'bounce',
  messageId: 'm',
  at: 0,
  recipient: 'bob@example.com',
  sender: '',
  subaccount: 0,
  job: 'spring',
  code: 550,
  enhancedStatus: '5.1.1',
  reason: 'unknown user',
  bounceClass: 10,
  remoteMta: 'mx.example.com',
  sourceIp: '192.0.2.1',
  queueTimeMs: 12,
  retries: 3,
  messageBytes: 4_000,
  feedbackType: 'abuse',
  reportedBy: 'example.net',
}

const faultOf = (value: object) => {
  const reading = readEvent(JSON.stringify(value))
  return 'fault' in reading ? reading.fault : undefined
}
/** With a member's value as JSON text, for what JSON.stringify does not write. */
const faultWith = (event: object, name: string, json: string) => {
  const reading = readEvent(JSON.stringify({ ...event, [name]: '@' }).replace('"@"', json))
  return 'fault' in reading ? reading.fault : undefined
}

describe('readEvent', () => {
  it('gives back what was written', () => {
    for (const event of [click, bounce]) assert.deepEqual(readEvent(JSON.stringify(event)), { event })
  })

  it('names the member that is missing', () => {
    for (const name of ['id', 'messageId', 'at']) {
      assert.equal(faultOf({ ...click, [name]: undefined }), `${name}: missing`)
    }
    assert.equal(faultOf({ ...click, type: undefined }), 'type: expected that of an event')
  })

  it('names the member that is of another type, each of them, and repeats nothing of it', () => {
    for (const event of [click, bounce]) {
      for (const [name, good] of Object.entries(event)) {
        const wrong = ['null', '{"toString":"bob@example.com"}', '["bob@example.com"]', 'false']
        wrong.push(typeof good === 'string' ? '5' : '"bob@example.com"')
        for (const json of wrong) {
          // An object where one belongs is looked into.
          if (typeof good === 'object' && json.startsWith('{')) continue
          assert.match(
            faultWith(event, name, json) ?? 'none',
            new RegExp(`^${name}: expected [^@]+$`),
            `${name} ${json}`,
          )
        }
      }
    }
    for (const name of ['verdict', 'geo'] as const) {
      for (const [member, good] of Object.entries(click[name] ?? {})) {
        const wrong = typeof good === 'string' ? 1 : 'yes'
        const fault = faultOf({ ...click, [name]: { ...click[name], [member]: wrong } })
        assert.match(fault ?? 'none', new RegExp(`^${name}\\.${member}: expected `))
      }
    }
  })

  it('takes no number that is none, nor a time that is none', () => {
    for (const json of ['1e999', '-1e999', '-1', '8.65e15']) {
      assert.equal(faultWith(click, 'at', json), 'at: expected a time in Unix milliseconds', json)
    }
    for (const json of ['1e999', '-1', '1.5', '1e300']) {
      assert.equal(faultWith(bounce, 'code', json), 'code: expected a whole number from 0', json)
    }
    assert.equal(faultWith({ ...click, geo: {} }, 'geo', '{"latitude":1e999}'), 'geo.latitude: expected a number')
  })

  it('takes no id that is none', () => {
    for (const id of ['', '01', '-1', '1.0', '9223372036854775808', '10000000000000000000', ' 1', '0x1']) {
      assert.equal(faultOf({ ...click, id }), 'id: expected a decimal number from 0 to 2^63-1', id)
    }
    for (const messageId of ['', 'a b', 'ü', 'm\n', 'x'.repeat(65)]) {
      assert.equal(faultOf({ ...click, messageId }), 'messageId: expected 1 to 64 visible ASCII characters', messageId)
    }
    for (const type of ['', 'Open', 'constructor', '__proto__']) {
      assert.equal(faultOf({ ...click, type }), 'type: expected that of an event', type)
    }
  })

  it('leaves out members that it does not know', () => {
    const more = { ...click, later: [{}], verdict: { ...click.verdict, later: {} } }
    const json = JSON.stringify(more).replace('"later":[{}]', '"later":[{}],"__proto__":{"at":"never"}')
    assert.deepEqual(readEvent(json), { event: click })
  })

  it('says what a text is that is no event', () => {
    for (const text of ['', '{', '{"id":"1"']) assert.deepEqual(readEvent(text), { fault: 'no JSON' }, text)
    for (const text of ['null', '1', '"text"', '[]'])
      assert.deepEqual(readEvent(text), { fault: 'no JSON object' }, text)
    const json = JSON.stringify(click)
    assert.ok('event' in readEvent(json.padEnd(eventCharsMax)))
    assert.deepEqual(readEvent(json.padEnd(eventCharsMax + 1)), {
      fault: '1048577 characters, at most 1048576 are read',
    })
  })
})
