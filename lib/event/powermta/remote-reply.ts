/** What the remote server said, as the columns `dsnDiag` and `dsnStatus` have it. */
export interface RemoteReply {
  /** SMTP reply code; undefined when no server gave one. */
  readonly code: number | undefined
  /** RFC 3463, `5.1.1`. */
  readonly enhancedStatus: string | undefined
  /** Its words; those of the status where no server spoke, for a bounce can be local. */
  readonly text: string
}

/**
 * @param dsnDiag RFC 3464 §2.3.6, `smtp;550 5.1.1 no such user`: other types than `smtp` have no reply code
 * @param dsnStatus `5.1.1 (bad destination mailbox address)`
 */
export function remoteReply(dsnDiag: string, dsnStatus: string): RemoteReply {
  const [, type = '', words = ''] = /^(?:([a-z-]+);\s*)?(.*)$/is.exec(dsnDiag) ?? []
  const code = type.toLowerCase() === 'smtp' ? /^[2-5]\d\d(?=[\s-]|$)/.exec(words)?.[0] : undefined
  return {
    code: code === undefined ? undefined : Number(code),
    enhancedStatus: /^[245]\.\d{1,3}\.\d{1,3}(?=\s|$)/.exec(dsnStatus)?.[0],
    text: words === '' ? dsnStatus : words,
  }
}
