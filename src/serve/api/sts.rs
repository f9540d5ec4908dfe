//! STS GetCallerIdentity, which scripts and Terraform ask first; the only operation here that is a form answered in XML
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).

use crate::serve::shared::Place;

/// The answer to GetCallerIdentity.
#[must_use]
pub(crate) fn caller_identity(place: &Place, request: &str) -> String {
    let account = &place.account;
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/exitone</Arn><UserId>AIDAEXITONESIMULATED0</UserId>\
         <Account>{account}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )
}

/// Whether a form asks for it.
#[must_use]
pub(crate) fn is_caller_identity(form: &[u8]) -> bool {
    form.split(|byte| *byte == b'&').any(|pair| pair == b"Action=GetCallerIdentity")
}
