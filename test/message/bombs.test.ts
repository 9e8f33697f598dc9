/**
 * Messages made to stop a parser: delivered, and byte for byte where they pass a limit. The long form (SOAK=1) also
 * measures how long each holds up the loop and says so.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '../../lib/message/smtp/limits.ts'
import { MessageWrapper } from '../../lib/message/tracking/wrap-message.ts'
import { sized } from '../support/soak.ts'
import { trackingPlan } from '../support/tracking-plan.ts'
import { bombs } from '../support/bombs.ts'
import { wrapped } from '../support/wrapped.ts'

const stamp = /^X-Sp-Message-Id: [^\r]+\r\nX-Sendpost-Message-UUID: [^\r]+\r\n/
const plan = { trackInitialOpen: true, trackText: true, honeypotLink: true }
/** A message up to this is wrapped as a whole when its last byte is there; a larger one while it comes in. */
const { collectBytesMax } = defaultLimits
/** Longest time that a message may hold up the loop. */
const blockMsMax = 100

/** The longest time for which the loop stands still, in milliseconds of CPU. */
function longestBlock(bytes: Buffer): number {
  const wrapper = new MessageWrapper(() => trackingPlan(plan))
  let longest = 0
  const step = bytes.length > collectBytesMax ? 65_536 : bytes.length
  for (let at = 0; at < bytes.length; at += step) {
    const before = process.cpuUsage()
    wrapper.write(bytes.subarray(at, at + step))
    if (at + step >= bytes.length) wrapper.end()
    const { user, system } = process.cpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
  }
  return longest
}

for (const [name, [message, reason]] of Object.entries(bombs)) {
  test(`a bomb is delivered: ${name}`, t => {
    const bytes = Buffer.from(message, 'latin1')
    const cuts = Array.from({ length: Math.floor(bytes.length / 65_536) }, (_, index) => (index + 1) * 65_536)
    const { bytes: out, text, report } = wrapped(bytes, { cuts, plan })
    assert.equal(report.failure, undefined)
    if (sized(0, 1) > 0) {
      const blockMs = Math.min(...Array.from({ length: 5 }, () => longestBlock(bytes)))
      t.diagnostic(`${name}: ${blockMs.toFixed(0)} ms`)
      assert.ok(blockMs <= blockMsMax, `${blockMs} ms`)
    }
    if (reason !== undefined) {
      assert.deepEqual(Object.keys(report.skipped), [reason])
      assert.ok(out.subarray(-bytes.length).equals(bytes))
      return
    }
    const rest = text.replace(stamp, '').replaceAll(/<span(?:\r\n)?><img [^>]+><\/span>(?:\r\n(?!--))?/g, '')
    if (report.links === 0 && !message.includes('quoted-printable')) assert.ok(rest === message)
    assert.ok(out.length >= bytes.length)
  })
}
