/** The reply code of the remote server within the text that Postfix gives as the reason of a status. */

const suspended = 'delivery temporarily suspended: '

/** What stands before the reply of a server in texts that begin with the name of a host. */
const introductions = ['] said: ', '] refused to talk to me: ', '] refused to start TLS: '] as const

/**
 * The three digits that the remote server answered, or undefined when none spoke (DNS and network troubles, local
 * delivery) or its answer was no SMTP reply.
 *
 * Only the places where Postfix itself writes a reply are looked at, from the left: what a server wrote later in its
 * text is its own.
 *
 * @param text the text between the parentheses after `status=`
 */
export function smtpReplyCode(text: string, sent: boolean): number | undefined {
  let from = text.startsWith(suspended) ? suspended.length : 0
  if (sent) return codeAt(text, from)
  if (text.startsWith('TLS is required, but host ', from)) from += 'TLS is required, but '.length
  if (!text.startsWith('host ', from)) return undefined
  // The address in brackets ends the host's name; what follows it says how the host spoke.
  const bracket = text.indexOf(']', from)
  if (bracket === -1) return undefined
  for (const words of introductions) {
    if (text.startsWith(words, bracket)) return codeAt(text, bracket + words.length)
  }
  return undefined
}

function codeAt(text: string, at: number): number | undefined {
  const first = text.charCodeAt(at) - 48
  const second = text.charCodeAt(at + 1) - 48
  const third = text.charCodeAt(at + 2) - 48
  if (!(first >= 2 && first <= 5 && second >= 0 && second <= 9 && third >= 0 && third <= 9)) return undefined
  const after = text.charCodeAt(at + 3)
  // End of text, blank, or the dash of a reply of several lines.
  if (!Number.isNaN(after) && after !== 32 && after !== 45 && after !== 41) return undefined
  return first * 100 + second * 10 + third
}
