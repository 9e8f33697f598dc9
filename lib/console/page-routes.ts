/** The pages for people. */
import type { FastifyInstance } from 'fastify'
import type { EventStore } from './event-store.ts'
import type { MailStore } from './mail-store.ts'

export function pageRoutes(
  app: FastifyInstance,
  events: EventStore,
  mails: MailStore,
  trackingUrl: string | undefined,
): void {
  app.get('/', async (_, reply) => {
    void trackingUrl
    return reply
      .type('text/html; charset=utf-8')
      .send(`<!doctype html><title>console</title><p>${events.count()} events, ${mails.count()} mails`)
  })
}
