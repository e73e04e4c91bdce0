// Why a call failed: MSAL's exceptions, made from the library's error.

using System;
using System.Collections.Generic;

namespace Mtlspop
{
    /// <summary>What each exception of a call has.</summary>
    public class MsalException : Exception
    {
        internal MsalException(ErrorData data, Exception inner) : base(data.Message, inner)
        {
            ErrorCode = data.Code;
            CorrelationId = data.CorrelationId;
            IsRetryable = data.IsRetryable;
            Status = data.Status;
            AuthenticationResultMetadata = data.Metadata;
        }

        /// <summary>MSAL's code, for example "invalid_client".</summary>
        public string ErrorCode { get; }

        /// <summary>What to quote to Microsoft support; null where the call had none.</summary>
        public string CorrelationId { get; }

        /// <summary>Whether the same call may succeed later without any change.</summary>
        public bool IsRetryable { get; }

        /// <summary>The library's number, MTLSPOP_E_... in mtlspop.h.</summary>
        public int Status { get; }

        /// <summary>
        /// How far a call for a token came: the endpoint, its region, and the time it took. Null where it failed
        /// before an endpoint was known.
        /// </summary>
        public AuthenticationResultMetadata AuthenticationResultMetadata { get; }

        public override string ToString()
        {
            string data = $"ErrorCode: {ErrorCode}, CorrelationId: {CorrelationId}";
            return base.ToString() + Environment.NewLine + data;
        }

        /// <summary>The exception for a mistake that this assembly finds itself.</summary>
        internal static MsalException OfClient(string code, string message, Exception inner = null)
        {
            var data = new ErrorData { Status = Native.E_INVALID_ARGUMENT, Code = code, Message = message };
            return new MsalClientException(data, inner);
        }

        /// <summary>The exception for an error, which it frees.</summary>
        internal static MsalException Take(int status, IntPtr error, Exception inner)
        {
            var data = ErrorData.Take(status, error);
            switch (status)
            {
                case Native.E_INTERACTION_REQUIRED:
                    return new MsalUiRequiredException(data, inner);
                case Native.E_THROTTLED:
                    return new MsalThrottledServiceException(data, inner);
                case Native.E_NETWORK:
                case Native.E_TIMEOUT:
                case Native.E_REJECTED:
                case Native.E_INVALID_RESPONSE:
                    return new MsalServiceException(data, inner);
                default:
                    return new MsalClientException(data, inner);
            }
        }
    }

    /// <summary>The program, its settings, this host or a callback are the cause.</summary>
    public class MsalClientException : MsalException
    {
        internal MsalClientException(ErrorData data, Exception inner) : base(data, inner) { }
    }

    /// <summary>A service said no, said something unusable, or could not be reached.</summary>
    public class MsalServiceException : MsalException
    {
        internal MsalServiceException(ErrorData data, Exception inner) : base(data, inner)
        {
            StatusCode = data.HttpStatus;
            Claims = data.Claims;
            SubError = data.SubError;
            AadstsCodes = data.AadstsCodes;
            RetryAfter = data.RetryAfter;
        }

        /// <summary>The HTTP status; 0 where there was no answer.</summary>
        public int StatusCode { get; }

        /// <summary>A claims challenge for WithClaims; null where there is none.</summary>
        public string Claims { get; }

        /// <summary>OAuth's suberror; null where there is none.</summary>
        public string SubError { get; }

        /// <summary>Entra's numbers: 700016 for AADSTS700016.</summary>
        public IReadOnlyList<int> AadstsCodes { get; }

        /// <summary>How long the service asks to wait; null where it does not say.</summary>
        public TimeSpan? RetryAfter { get; }
    }

    /// <summary>The service asks for fewer requests.</summary>
    public class MsalThrottledServiceException : MsalServiceException
    {
        internal MsalThrottledServiceException(ErrorData data, Exception inner) : base(data, inner) { }
    }

    /// <summary>The service wants more than a workload can give: an administrator must act.</summary>
    public class MsalUiRequiredException : MsalServiceException
    {
        internal MsalUiRequiredException(ErrorData data, Exception inner) : base(data, inner) { }
    }

    /// <summary>What an error of the library holds.</summary>
    internal sealed class ErrorData
    {
        internal int Status;
        internal string Code;
        internal string Message;
        internal string CorrelationId;
        internal bool IsRetryable;
        internal int HttpStatus;
        internal string Claims;
        internal string SubError;
        internal int[] AadstsCodes = new int[0];
        internal TimeSpan? RetryAfter;
        internal AuthenticationResultMetadata Metadata;

        internal static ErrorData Take(int status, IntPtr error)
        {
            try
            {
                long wait = Native.mtlspop_error_retry_after_seconds(error);
                var codes = new int[(int)Native.mtlspop_error_aadsts_count(error)];
                for (int index = 0; index < codes.Length; index++)
                {
                    codes[index] = Native.mtlspop_error_aadsts_code(error, (UIntPtr)(uint)index);
                }
                return new ErrorData
                {
                    Status = status,
                    Code = Interop.Text(Native.mtlspop_error_code(error)),
                    Message = Interop.Text(Native.mtlspop_error_message(error)),
                    CorrelationId = Interop.Text(Native.mtlspop_error_correlation_id(error)),
                    IsRetryable = Native.mtlspop_error_is_retryable(error) == 1,
                    HttpStatus = Native.mtlspop_error_http_status(error),
                    Claims = Interop.Text(Native.mtlspop_error_claims(error)),
                    SubError = Interop.Text(Native.mtlspop_error_sub_error(error)),
                    AadstsCodes = codes,
                    RetryAfter = wait < 0 ? (TimeSpan?)null : TimeSpan.FromSeconds(wait),
                    Metadata = AuthenticationResultMetadata.OfError(error),
                };
            }
            finally
            {
                Native.mtlspop_error_free(error);
            }
        }
    }
}
