/** What is looked into at most; beyond it the bytes pass through as they are. */
export interface WrapLimits {
  /** Header block of the message, and of each part, in bytes. */
  readonly headerBytesMax: number
  /** Lines of the message's header block. */
  readonly headerLinesMax: number
  /** Parts of a message, counted as they begin. */
  readonly partsMax: number
  /** Multiparts within each other. */
  readonly depthMax: number
  /** Body of a part that is rewritten, encoded, in bytes. */
  readonly bodyBytesMax: number
  /**
   * Body of a part that becomes quoted-printable because a line would grow too long, in bytes. It may become three times
   * as long, and takes ten times as long as one that stays.
   */
  readonly reencodedBytesMax: number
  /** Links of a message. */
  readonly linksMax: number
  /** URLs of a message's links together, as they are written, in bytes: making their tokens takes most of the time. */
  readonly urlBytesMax: number
}

export const defaultLimits: WrapLimits = {
  headerBytesMax: 256 * 1024,
  headerLinesMax: 1000,
  partsMax: 1000,
  depthMax: 50,
  bodyBytesMax: 2 * 1024 * 1024,
  reencodedBytesMax: 256 * 1024,
  linksMax: 5000,
  urlBytesMax: 256 * 1024,
}
