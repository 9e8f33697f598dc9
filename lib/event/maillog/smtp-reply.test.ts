import assert from 'node:assert/strict'
import { test } from 'node:test'
import { smtpReplyCode } from './smtp-reply.ts'

const sent: Record<string, number | undefined> = {
  '250 2.0.0 Ok: queued as X': 250,
  '250': 250,
  '250-first 250 last': 250,
  'delivered to mailbox': undefined,
  '2500 x': undefined,
}
for (const [text, code] of Object.entries(sent)) {
  test(`smtpReplyCode of a delivery, "${text}"`, () => assert.equal(smtpReplyCode(text, true), code))
}

const failed: Record<string, number | undefined> = {
  'host mx.example.com[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command)': 550,
  'host mx[192.0.2.1] said: 550': 550,
  'host mx.example.com[private/lmtp] said: 452 4.2.2 full': 452,
  'host mx[2001:db8::1] refused to talk to me: 421 4.3.2 busy': 421,
  'TLS is required, but host mx[192.0.2.1] refused to start TLS: 454 4.7.0 no': 454,
  'delivery temporarily suspended: host mx[192.0.2.1] refused to talk to me: 421 busy': 421,
  'host mx[192.0.2.1] said: this is not an smtp reply 550 5.1.1': undefined,
  'connect to mx[192.0.2.1]:25: Connection refused': undefined,
  'unknown user: "] said: 550 x"': undefined,
  'Command output: host mx[192.0.2.1] said: 550 x': undefined,
}
for (const [text, code] of Object.entries(failed)) {
  test(`smtpReplyCode of a failure, "${text}"`, () => assert.equal(smtpReplyCode(text, false), code))
}
