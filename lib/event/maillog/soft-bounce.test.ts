import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Outcome } from './outcome.ts'
import { bouncedOrSoft, softBounceReason } from './soft-bounce.ts'

/** In the words of providers and servers, as they document them or as logs show them; links shortened. */
const replies: Record<string, readonly [dsn: string, text: string, reason: string | undefined][]> = {
  Gmail: [
    [
      '5.2.2',
      '552-5.2.2 The email account that you tried to reach is over quota. Please direct 552 5.2.2 the recipient to support.google.com/mail/?p=OverQuotaPerm a1-b2 - gsmtp',
      'mailbox full',
    ],
    [
      '5.2.2',
      "552-5.2.2 The recipient's inbox is out of storage space. Please direct the 552-5.2.2 recipient to support.google.com/mail/?p=OverQuotaPerm",
      'mailbox full',
    ],
    [
      '5.2.1',
      '550-5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered. p=ReceivingRatePerm',
      'rate',
    ],
    ['5.4.5', '550 5.4.5 Daily user sending limit exceeded. p=UserSendLimit - gsmtp', 'mail system congestion'],
    [
      '5.7.28',
      '550-5.7.28 There is an unusual rate of unsolicited mail originating from your IP address.',
      'mail flood detected',
    ],
    [
      '5.1.1',
      "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos p=NoSuchUser",
      undefined,
    ],
    ['5.2.1', '550-5.2.1 The email account that you tried to reach is inactive. p=DisabledUser', undefined],
    [
      '5.7.26',
      '550-5.7.26 Your email has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate',
      undefined,
    ],
    ['5.7.1', '550-5.7.1 Our system has detected that this message is likely unsolicited mail.', undefined],
    ['5.3.4', "552-5.3.4 Your message exceeded Google's message size limits. p=MaxSizeError", undefined],
    ['5.7.0', '552-5.7.0 This message was blocked because its content presents a potential security issue.', undefined],
  ],
  'Outlook, Exchange Online': [
    [
      '5.2.2',
      '554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed to process message due to a permanent exception',
      'mailbox full',
    ],
    ['5.2.0', '554 5.2.0 STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded', 'quota'],
    [
      '5.2.122',
      '554 5.2.122 The recipient has exceeded their limit for the number of messages they can receive per hour.',
      'rate',
    ],
    ['5.5.0', '550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).', undefined],
    ['5.4.1', '550 5.4.1 Recipient address rejected: Access denied. AS(201806281)', undefined],
    ['5.1.10', '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup', undefined],
    [
      '5.7.1',
      "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).",
      undefined,
    ],
    ['5.7.606', '550 5.7.606 Access denied, banned sending IP [192.0.2.1]', undefined],
  ],
  'Yahoo, AOL': [
    ['5.2.2', '552 5.2.2 Mailbox full', 'mailbox full'],
    ['5.0.0', '554 delivery error: dd Requested mail action aborted - mailbox is full', 'mailbox full'],
    ['5.0.0', "554 delivery error: dd This user doesn't have a yahoo.com account (r@yahoo.com) [0]", undefined],
    ['5.0.0', '554 delivery error: dd This mailbox is disabled (554.30).', undefined],
    ['5.7.9', '554 5.7.9 Message not accepted for policy reasons.', undefined],
    [
      '5.7.1',
      "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
      undefined,
    ],
    [
      '5.7.1',
      '553 5.7.1 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.',
      undefined,
    ],
  ],
  iCloud: [
    ['5.2.2', '552 5.2.2 <r@icloud.com>: user is over quota', 'mailbox full'],
    ['5.1.1', '550 5.1.1 <r@icloud.com>: user does not exist', undefined],
    ['5.7.1', '554 5.7.1 [CS01] Message rejected due to local policy.', undefined],
  ],
  'GMX, web.de, T-Online': [
    ['5.0.0', '552-Requested mail action aborted: exceeded storage allocation 552-Quota exceeded.', 'quota'],
    ['5.0.0', '550-Requested action not taken: mailbox unavailable 550 For explanation visit postmaster', undefined],
  ],
  'Mail.ru, Yandex': [
    ['5.2.2', '552 5.2.2 Mailbox size limit exceeded', 'mailbox full'],
    ['5.0.0', '550 Message was not accepted -- invalid mailbox. Local mailbox r@mail.ru is unavailable', undefined],
    ['5.7.1', '550 5.7.1 Policy rejection on the target address', undefined],
  ],
  'servers of all kinds': [
    ['5.2.2', '552 5.2.2 <r@x>: Quota exceeded (mailbox for user is full)', 'mailbox full'],
    ['5.0.0', "552 Sorry, the user's maildir has overdrawn his diskspace quota, please try again later.", 'quota'],
    ['5.0.0', '552 The users mailfolder is over the allowed quota (size). (#5.2.2)', 'quota'],
    ['5.0.0', '552 mailbox is full: retry timeout exceeded', 'mailbox full'],
    ['5.3.1', '552 5.3.1 Mail system storage has been exceeded', 'mail system full'],
    ['5.0.0', '552 insufficient system storage', 'quota'],
    ['5.7.1', '550 5.7.1 <r@x>: Recipient address rejected: Greylisted, see http://postgrey.example/', 'greylisting'],
    ['5.0.0', '550 Too many messages from your host, slow down', 'rate'],
    ['5.1.1', '550 5.1.1 <r@x>: User unknown; temporary mailboxes are not served, try again with another', undefined],
    ['5.7.1', '550 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org', undefined],
    ['5.4.4', 'Host or domain name not found. Name service error for name=x type=A: Host not found', undefined],
    ['5.0.0', '554 rejected due to spam content', undefined],
    ['5.0.0', '550 Full name required', undefined],
  ],
}
for (const [provider, texts] of Object.entries(replies)) {
  for (const [dsn, text, reason] of texts) {
    test(`softBounceReason, ${provider}: ${text.slice(0, 70)}`, () =>
      assert.equal(
        softBounceReason(dsn, `host mx.example[192.0.2.1] said: ${text} (in reply to RCPT TO command)`),
        reason,
      ))
  }
}

test('bouncedOrSoft names only bounces anew, and only when asked to', () => {
  const full = { type: 'bounced', description: 'mailbox is full', log: { dsn: '5.2.2' } } as Outcome
  assert.equal(bouncedOrSoft(full, 'postfix').type, 'bounced')
  assert.equal(bouncedOrSoft(full, 'table').type, 'soft_bounced')
  for (const type of ['delivered', 'deferred', 'soft_bounced'] as const)
    assert.equal(bouncedOrSoft({ ...full, type }, 'table').type, type)
})

test('softBounceReason ends in time', () => {
  const started = performance.now()
  for (const word of ['mailbox ', 'exceed ', 'overdrawn ', 'rate']) softBounceReason('5.0.0', word.repeat(500))
  assert.ok(performance.now() - started < 500)
})
