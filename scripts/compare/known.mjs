// Differences from the peer that are known, and why. One that no longer shows fails the comparison: take it out then.

/**
 * [{ video: what it is called in the table, as a regular expression; what: kinds of differences, see judge.mjs; reason;
 *    avcodec?: majors of libavcodec in the library that it holds for, default all }]
 */
export const known = []
