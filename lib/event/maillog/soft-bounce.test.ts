import assert from 'node:assert/strict'
import { test } from 'node:test'
import { softBounceReason } from './soft-bounce.ts'

/** In the words of large providers, shortened. */
const replies: [dsn: string, text: string, soft: boolean][] = [
  ['5.2.2', '552 5.2.2 The email account that you tried to reach is over quota and inactive.', true],
  ['5.2.2', "552-5.2.2 The recipient's inbox is out of storage space. OverQuotaPerm", true],
  ['5.0.0', '554 delivery error: dd Requested mail action aborted - mailbox is full', true],
  ['5.2.0', '554 5.2.0 STOREDRV.Deliver: mailbox full', true],
  [
    '5.2.122',
    '552 5.2.122 The recipient has exceeded their limit for the number of messages per hour, rate limited',
    true,
  ],
  ['5.7.28', '550 5.7.28 Our system has detected an unusual rate of unsolicited mail', true],
  ['5.0.0', '550 Greylisted for 5 minutes', true],
  ['5.3.1', '552 5.3.1 Mail system storage has been exceeded', true],
  ['5.1.1', '550 5.1.1 The email account that you tried to reach does not exist. NoSuchUser', false],
  ['5.7.1', '550 5.7.1 Service unavailable, Client host blocked using Spamhaus', false],
  ['5.7.26', '550 5.7.26 This mail has been blocked because the sender is unauthenticated', false],
  ['5.5.0', '550 5.5.0 Requested action not taken: mailbox unavailable', false],
  ['5.4.4', 'Host or domain name not found. Name service error for name=x type=A: Host not found', false],
  ['5.0.0', '554 rejected due to spam content', false],
]
for (const [dsn, text, soft] of replies) {
  test(`softBounceReason: ${text.slice(0, 60)}`, () => assert.equal(softBounceReason(dsn, text) !== undefined, soft))
}
