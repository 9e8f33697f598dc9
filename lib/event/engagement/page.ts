/** The few pages that the tracker shows to people. Plain HTML without script or style; whatever is inserted is escaped. */
import { page, type Answer } from './answer.ts'

function document(title: string, body: string): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
</head>
<body>
<h1>${title}</h1>
${body}
</body>
</html>
`
}

/** Safe in text and in attribute values with either quote. */
function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, character => `&#${character.codePointAt(0)};`)
}

/** Its key was withdrawn: says so and leads nowhere. */
export const revokedPage: Answer = page(
  'revoked',
  410,
  document(
    'This link was withdrawn',
    '<p>The sender has withdrawn it, so it no longer leads anywhere. Nothing is wrong with your device.</p>',
  ),
)

/**
 * RFC 8058 §3.1: following the link must not unsubscribe anybody, for machines follow links; a form's button does. The
 * form posts to the address of the page itself.
 */
export const unsubscribePage: Answer = page(
  'unsubscribe_page',
  200,
  document(
    'Unsubscribe?',
    `<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<p>Press the button, and you will no longer receive these messages.</p>
<button type="submit">Unsubscribe</button>
</form>`,
  ),
)

export const unsubscribedPage: Answer = page(
  'unsubscribed',
  200,
  document('You are unsubscribed', '<p>Your request was recorded.</p>'),
)

/**
 * Where an unsigned link of the older format says it leads, with one click more. Its target is written out, for anybody
 * may have made the link; the page never forwards by itself.
 * @param location in the form of `headerLocation`
 */
export function confirmPage(host: string, location: string): Answer {
  return page(
    'confirm',
    200,
    document(
      'Continue to another site?',
      `<p>This link leads to <strong>${escape(host)}</strong>. Go on only if this is where you want to go.</p>
<p><a href="${escape(location)}" rel="noopener noreferrer nofollow">Continue to ${escape(host)}</a></p>`,
    ),
  )
}
