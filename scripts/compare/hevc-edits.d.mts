export function discardEarlierPictures(bytes: Buffer): Buffer
export function hideSomePictures(bytes: Buffer): Buffer
