pub(crate) fn begin() {
    crate::tell::four::end();
}
